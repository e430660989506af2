@replication @postgresql
Feature: PostgreSQL replicas keep up
  The plan: "Verify replication lag" (week 2). It names no limit: 5 seconds and 16 MB (one WAL
  segment) are what a failover may cost at most (features/replication/promotion.feature).

  Background:
    Given the plan's services are running

  @critical @smoke
  Scenario Outline: <replica> keeps up while its primary is written to
    Given <replica> is the replica of <primary>
    When 4 MB a second are written to the primary for 12 seconds
    Then the replica was never more than 5 seconds and 16 MB behind

    Examples:
      | primary       | replica               |
      | gibd-postgres | gibd-postgres-replica |
      | postgres      | postgres-replica      |

  @normal
  Scenario: A primary that nobody writes to is no lag
    Given postgres-replica is the replica of postgres
    When nobody writes to the primary for 7 seconds
    Then the replica is at most 5 seconds and 16 MB behind
