@plan
Feature: Staging and development are isolated from production
  The plan has both on a server of their own, "isolated from production". Also where Swarm would let
  them: no network, no secret and no way to a database is shared.

  @critical
  Scenario: Staging and development share no server, network or secret with production
    Given every stack of the plan stands
    Then these stacks run on hpr alone, and nothing of production runs there
      | stack         |
      | staging       |
      | dev-databases |
    And they share no network with production
    And they share no secret with production
    And from none of their networks these databases are found by name or reached at an address
      | database              |
      | gibd-postgres         |
      | gibd-postgres-replica |
      | postgres              |
      | postgres-replica      |
      | pgbouncer             |
      | gibd-redis            |
      | redis-replica         |
      | redis                 |
      | keycloak-postgres     |
      | appwrite-mariadb      |
      | appwrite-redis        |
      | mailcow-mysql         |
