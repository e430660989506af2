@replication @postgresql
Feature: PostgreSQL replication
  The plan: "PostgreSQL replicas on server 81 (read scaling)", asynchronous, read-only, fed by
  streaming replication from the primary on server 80.

  Background:
    Given the plan's services are running
    And gibd-postgres-replica is the replica of gibd-postgres

  @blocker @smoke
  Scenario: The right replica streams, asynchronously
    Then the primary streams to this replica, as both ends say, within 60 seconds
    And replication is asynchronous

  @blocker @smoke
  Scenario: A committed row is soon readable on the replica
    Then 20 rows written on the primary are each readable on the replica within 5 seconds

  @critical @smoke
  Scenario: The replica refuses writes
    Then a write on the replica is refused as read-only

  @critical @chaos
  Scenario: The replica comes back after its container is killed
    When the replica's container is killed
    Then the replica streams again within 60 seconds
    And 5 rows written on the primary are each readable on the replica within 5 seconds

  @critical @chaos
  Scenario: The replica comes back after its node lost its power
    When the replica's node loses its power
    And 5 rows are written on the primary meanwhile
    And the power of the replica's node returns
    Then the replica streams again within 120 seconds
    And the rows written meanwhile are on the replica within 5 seconds
    And the cluster is steady within 120 seconds
