@traps @chaos
Feature: A node that is cut off goes on by itself
  Swarm starts a lost node's tasks elsewhere, but cannot end them where they are: a worker that only
  lost its network goes on running its containers. Whoever writes from there writes beside the
  replacement. What has to hold is that the second copies end when the network returns.

  Background:
    Given the plan's services are running
    And the canary has a task on every node

  @critical
  Scenario: An isolated worker runs its tasks a second time until it is back
    Given these services may stay down with their node, because their data is there
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
    When the worker is isolated and watched for 60 seconds
    Then every service that may move runs elsewhere within 60 seconds
    And at least 1 task runs twice
    When everything is put right
    Then no task runs twice within 60 seconds
    And the cluster is steady within 120 seconds

  @critical
  Scenario: A worker that loses its network for a moment, again and again
    Each time about as short as Swarm needs to notice: mostly nothing moves, and clients fail each
    time. Both are Swarm's right; what has to hold is that all is right afterwards.
    When the worker is isolated 3 times for 4 seconds, 8 seconds apart
    Then how many of its tasks left it is reported
    And from every node these services resolve to their running tasks and answer within 120 seconds
      | service    |
      | ws-gateway |
      | canary     |
    And the cluster is steady within 120 seconds
