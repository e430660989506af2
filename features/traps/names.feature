@traps @chaos @discovery
Feature: Names that lead nowhere
  Names are gossip between the nodes, beside what the managers know. A node whose gossip is cut off
  stays Ready while nobody finds its tasks any more (moby issue 53141: for hours after a short
  disconnect), and a dead task's address is given out until its node is called down. Gossip looks
  for lost members every 60 seconds and exchanges all it knows every 30, hence 120 as the limit.

  Background:
    Given the plan's services are running
    And the canary has a task on every node

  @critical
  Scenario: A node stays Ready although its gossip is lost
    When port 7946 is shut at the worker
    Then names go wrong within 60 seconds while the node stays Ready
    When everything is put right
    Then from every node these services resolve to their running tasks and answer within 120 seconds
      | service    |
      | ws-gateway |
      | canary     |
    And the cluster is steady within 120 seconds

  @critical
  Scenario: The address of a dead task is forgotten
    When the power of the worker is cut
    Then the address of its canary is given out no longer than 60 seconds
    When everything is put right
    Then the cluster is steady within 120 seconds
