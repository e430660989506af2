@cluster @smoke
Feature: Cluster formation
  The plan: "Initialize swarm on server 84, join servers 80 and 81 as managers, join server 82 as
  worker, verify cluster health" (week 1, day 1-2).

  Background:
    Given the plan's services are running

  @blocker
  Scenario: Three managers and one worker form one Swarm
    When every manager is asked for its view of the Swarm
    Then every manager sees these members, all Ready and every manager reachable
      | node       | role    |
      | gmktec     | manager |
      | hppavilion | manager |
      | wsasus     | manager |
      | hpr        | worker  |
    And all managers name the same single leader

  @critical
  Scenario: Every engine is new enough to encrypt and authenticate overlay traffic
    # CVE-2023-28840, -28841 and -28842 are mended in 20.10.24 and 23.0.3.
    Then every node runs engine 23.0.3 or newer

  @critical
  Scenario: The nodes carry the labels that the plan's placement needs
    Then the nodes carry these labels
      | node       | label      | value      |
      | gmktec     | tier       | core       |
      | gmktec     | production | true       |
      | hppavilion | tier       | data       |
      | hppavilion | production | true       |
      | wsasus     | tier       | monitoring |
      | wsasus     | production | true       |
      | hpr        | tier       | staging    |
      | hpr        | staging    | true       |

  @critical
  Scenario: Every task runs where the plan places it
    Then the services run in these places
      | service               | place                 |
      | gibd-postgres         | node hppavilion       |
      | gibd-postgres-replica | node wsasus           |
      | postgres              | node hppavilion       |
      | postgres-replica      | node wsasus           |
      | gibd-redis            | node hppavilion       |
      | redis-replica         | node wsasus           |
      | pgbouncer             | label production=true |
      | edge                  | label production=true |
      | ws-gateway            | label production=true |
      | ws-company            | label production=true |
      | ws-trades             | label production=true |
      | ws-news               | label production=true |
      | ws-discovery          | label production=true |
      | netcheck              | every node            |
