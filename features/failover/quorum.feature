@failover @chaos @quorum
Feature: Quorum
  With two of three managers dead the Swarm can change nothing any more: no task is rescheduled. What
  runs goes on running, which is why a check that only asks the services notices nothing.

  @critical
  Scenario: Two of three managers lost
    Given the plan's services are running
    And a majority of the managers may be lost here
    And the canary has a task on every node
    And the edge runs on a manager that is not the leader
    And clients ask canary 10 times a second
    When the other managers lose their power
    Then the control plane is reported lost within 60 seconds
    And for 20 seconds at least 95 % of the clients' requests are answered by what still runs
    When their power returns
    Then the control plane is whole within 120 seconds
    And the cluster is steady within 120 seconds
