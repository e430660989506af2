@replication @postgresql @patroni @chaos
Feature: PostgreSQL fails over by itself, with Patroni
  The plan: "Automatic Failover (Bonus: Patroni)", and "Automatic failover (< 60 seconds)". The same
  loss as in promotion.feature, which an operator has to answer there; the report shows both.

  Background:
    Given the plan's services are running
    And patroni-primary and patroni-replica are led by Patroni

  @critical
  Scenario: The leader's node loses its power, and nobody does anything
    Given the report compares this, "PostgreSQL whose primary's node lost its power", as done by "Patroni"
    And writers commit 20 rows a second to patroni-primary or patroni-replica
    When the primary's node loses its power
    Then writes are acknowledged again within 60 seconds
    And its timeline is the next one
    And one server alone accepts writes
    And acknowledged writes of at most 5 seconds are lost
    When the power of the old primary's node returns
    Then no second server accepts writes for 15 seconds
    And the old primary follows the new one by itself, as both ends say, within 120 seconds of its node's return
    And the cluster is steady within 120 seconds
