@failover @chaos
Feature: Automatic failover
  The plan: "Automatic failover (< 60 seconds)". A node loses its power like a server whose plug is
  pulled: nobody is told. A shutdown or a drain would be quicker and would prove nothing.

  Background:
    Given the plan's services are running
    And these services may stay down with their node, because their data is there
      | service               |
      | gibd-postgres         |
      | gibd-postgres-replica |
      | postgres              |
      | postgres-replica      |
      | gibd-redis            |
      | redis-replica         |
    And in these stacks what is tied to one node may stay down with it
      | stack              |
      | infrastructure     |
      | frontends          |
      | appwrite           |
      | appwrite-storage   |
      | general-cache      |
      | mailcow            |
      | gitlab             |
      | backups            |
      | backups-restic     |
      | backup-coordinator |
      | monitoring         |
      | node-agents        |
      | logging            |
      | staging            |
      | dev-databases      |
      | github             |
      | patroni            |
    And the canary has a task on every node

  @blocker
  Scenario: Losing the worker
    Given clients ask edge and canary 10 times a second
    When the worker loses its power and is watched for 90 seconds
    Then every service that may move runs elsewhere within 60 seconds
    And clients get good answers again within 60 seconds
    When its power returns
    Then the node is Ready within 60 seconds
    And the cluster is steady within 120 seconds

  @blocker
  Scenario Outline: Losing <role> with the edge on it
    Given the edge runs on <role>
    And clients ask edge and canary 10 times a second
    When the node that runs edge loses its power and is watched for 90 seconds
    Then the lost node was <role>
    And every service that may move runs elsewhere within 60 seconds
    And clients get good answers again within 60 seconds
    When its power returns
    Then the node is Ready within 60 seconds
    And the cluster is steady within 120 seconds

    Examples:
      | role                             |
      | a manager that is not the leader |
      | the leader                       |
