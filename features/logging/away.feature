@logging @monitoring @chaos
Feature: No log line is lost while logging is away
  Lines written while the collector or Loki does not run are found once it does. The time counts from
  their writing, with Swarm's restart of what was killed in it.

  Background:
    Given the plan's services are running
    And the logs of every node are collected

  @critical
  Scenario: Lines written while the collector is away
    When the collector of one node is killed
    And every container of that node writes a line while it is away
    Then every line is found centrally within 45 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing

  @critical
  Scenario: Lines written while Loki is away
    Given every container has written a line that was found
    When Loki is killed
    And every container writes a line while it is away
    Then every line is found centrally within 45 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing
    And the earlier lines are still found
