@audit @smoke
Feature: Nothing is deployed that would break a criterion
  Read from the stack files alone, before anything runs: what could not fail over, does not fit, is in
  clear, or does not do what it says (docs/audit.md). A twin's are those of fixtures/stacks at the
  plan's sizes, servers' those that their inventory names.

  @critical
  Scenario: The stack files of this cluster, against its servers
    When the stack files are audited against the cluster's inventory
    Then no finding of level warning or worse is without a written reason

  @critical
  Scenario: What was audited is what runs
    A clean audit of files that nobody deployed, or of some of them, says nothing of the cluster.

    Given the plan's services are running
    When the stack files are audited against the cluster's inventory
    Then every service that runs is in an audited file, and on servers with that file's image
