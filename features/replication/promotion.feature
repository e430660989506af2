@replication @postgresql @chaos
Feature: PostgreSQL's replica is promoted by hand, and the roles are switched back
  The plan: "Test failover (promote replica to primary, then restore)" (week 2), and "can promote to
  primary". An operator fences the old primary, promotes the replica, rebuilds the old primary as its
  replica and switches back. Replication is asynchronous, so the power cut may cost what was
  acknowledged in the last seconds before it; switching back may cost nothing.

  Background:
    Given the plan's services are running

  @blocker
  Scenario: The primary's node loses its power
    Given gibd-postgres-replica is the replica of gibd-postgres
    And the report compares this, "PostgreSQL whose primary's node lost its power", as done by "an operator"
    And writers commit 20 rows a second to gibd-postgres or gibd-postgres-replica
    When the primary's node loses its power
    And the old primary is fenced and the replica promoted
    Then the promoted replica accepts writes within 60 seconds of the fault and 15 seconds of its promotion
    And clients of pgbouncer write again within 30 seconds of the promotion
    And its timeline is the next one
    And one server alone accepts writes
    And writes are acknowledged again within 60 seconds
    And acknowledged writes of at most 5 seconds are lost
    When the power of the old primary's node returns
    Then no second server accepts writes for 15 seconds
    When the old primary is started again
    Then it follows the promoted replica, as both ends say, within 120 seconds
    When writers commit 20 rows a second to gibd-postgres or gibd-postgres-replica
    And the roles are switched back
    Then the first primary has it all and accepts writes within 60 seconds
    And at most 0 acknowledged writes are lost
    When the other is started as its replica
    Then the primary streams to this replica, as both ends say, within 120 seconds
    And one server alone accepts writes
    And the cluster is steady within 120 seconds

  @critical
  Scenario: The primary's container is killed
    Given postgres-replica is the replica of postgres
    When the primary's container is killed
    And the old primary is fenced and the replica promoted
    Then the promoted replica accepts writes within 60 seconds of the fault and 15 seconds of its promotion
    And its timeline is the next one
    And one server alone accepts writes
    When the old primary is started again
    Then it follows the promoted replica, as both ends say, within 120 seconds
    When the roles are switched back
    Then the first primary has it all and accepts writes within 60 seconds
    When the other is started as its replica
    Then the primary streams to this replica, as both ends say, within 120 seconds
    And one server alone accepts writes
    And the cluster is steady within 120 seconds
