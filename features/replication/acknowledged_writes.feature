@replication @writes
Feature: Acknowledged writes
  A write that was acknowledged is still there after a failure. Writers of unique keys record every
  acknowledgement; afterwards each key is looked for.

  Background:
    Given the plan's services are running

  @blocker @smoke @postgresql
  Scenario Outline: What <server> acknowledges is on its disk
    A drill kills processes; the kernel writes what they left to it. A power cut does not wait for it.

    Then <server> has what it acknowledges on its disk, by its settings

    Examples:
      | server                |
      | gibd-postgres         |
      | gibd-postgres-replica |
      | postgres              |
      | postgres-replica      |

  @blocker @chaos @postgresql
  Scenario: PostgreSQL's postmaster is killed under writes
    Given writers commit 100 rows a second to gibd-postgres or gibd-postgres-replica
    When the fault "data.postmaster-kill service=gibd-postgres" is injected
    Then writes are acknowledged again within 60 seconds
    And at most 0 acknowledged writes are lost
    And gibd-postgres-replica has the same writes as gibd-postgres within 30 seconds

  @blocker @chaos @postgresql
  Scenario: The primary's node loses its power under writes and returns
    Given writers commit 100 rows a second to gibd-postgres or gibd-postgres-replica
    When the power of the primary's node is cut
    And everything is put right
    Then writes are acknowledged again within 120 seconds
    And at most 0 acknowledged writes are lost
    And gibd-postgres-replica has the same writes as gibd-postgres within 30 seconds

  # The plan backs Redis up every hour: so much may be lost. Redis itself keeps what it saved last,
  # and its replica follows a primary that came back with less.
  @critical @smoke @redis
  Scenario: Redis saves by itself as often as it is backed up
    Then gibd-redis saves a single write by its own rules within 3600 seconds

  @critical @chaos @redis
  Scenario: Redis is killed under writes
    Given writers set 100 keys a second in gibd-redis or redis-replica
    When gibd-redis saves a snapshot
    And the fault "task.kill service=gibd-redis" is injected
    Then writes are acknowledged again within 60 seconds
    And acknowledged writes of at most 3600 seconds are lost
    And redis-replica has the same writes as gibd-redis within 60 seconds
