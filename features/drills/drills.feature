@drills @chaos
Feature: Rehearsals
  Steady before, faults by a schedule, steady after, with clients asking all the time. A drill that
  fails is run again with the command that the sign-off gives: the same faults at the same times.

  Background:
    Given the plan's services are running

  @blocker
  Scenario: The cutover rehearsal of week 1: each server in turn, then the replica
    Given the edge runs on a manager that is not the leader
    And clients send the traffic of services at 10 requests a second
    When the drill cutover_rehearsal.yml is run
    Then every fault was in force for its time and is undone
    And after the drill the cluster is steady within 180 seconds
    And clients were never without good answers for more than 60 seconds
    And losing every server once in 24 hours leaves clients more than 99 % of the time and of their requests
    And how long a window 99.9 % would need is reported

  @critical
  Scenario: Everyday trouble, in an order that the run's seed draws
    When the drill everyday_trouble.yml is run
    Then every fault was in force for its time and is undone
    And after the drill the cluster is steady within 120 seconds
    And clients were never without good answers for more than 60 seconds
