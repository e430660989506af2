@replication @postgresql
Feature: PostgreSQL replication
  The plan: "PostgreSQL replicas on server 81 (read scaling)", asynchronous, read-only, fed by
  streaming replication from the primary on server 80.

  Background:
    Given the plan's services are running

  @blocker @smoke
  Scenario Outline: The right replica of <primary> streams, asynchronously
    Given <replica> is the replica of <primary>
    Then the primary streams to this replica, as both ends say, within 60 seconds
    And replication is asynchronous

    Examples:
      | primary       | replica               |
      | gibd-postgres | gibd-postgres-replica |
      | postgres      | postgres-replica      |

  @blocker @smoke
  Scenario Outline: A row committed on <primary> is soon readable on its replica
    Given <replica> is the replica of <primary>
    Then 20 rows written on the primary are each readable on the replica within 5 seconds

    Examples:
      | primary       | replica               |
      | gibd-postgres | gibd-postgres-replica |
      | postgres      | postgres-replica      |

  @critical @smoke
  Scenario Outline: <replica> refuses writes
    Given <replica> is the replica of <primary>
    Then a write on the replica is refused as read-only
    And one server alone accepts writes

    Examples:
      | primary       | replica               |
      | gibd-postgres | gibd-postgres-replica |
      | postgres      | postgres-replica      |

  @critical @chaos
  Scenario: The replica comes back after its container is killed
    Given gibd-postgres-replica is the replica of gibd-postgres
    When the replica's container is killed
    Then the replica streams again within 60 seconds
    And 5 rows written on the primary are each readable on the replica within 5 seconds

  @critical @chaos
  Scenario: The replica comes back after its node lost its power
    Given gibd-postgres-replica is the replica of gibd-postgres
    When the replica's node loses its power
    And 5 rows are written on the primary meanwhile
    And the power of the replica's node returns
    Then the replica streams again within 120 seconds
    And the rows written meanwhile are on the replica within 5 seconds
    And the cluster is steady within 120 seconds
