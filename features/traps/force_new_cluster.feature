@traps @chaos @quorum
Feature: A majority of managers that is lost for good
  What is left can be made a Swarm again by force. The trap is in the return of the lost ones: they
  are told that they are managers no more, yet one or the other may be made one again by itself, and a
  Swarm of two managers loses its quorum with either. So they have to leave before they join. This is
  shown on a spare Swarm, which is thrown away.

  @critical
  Scenario: Two of three managers are lost, the third is forced to go on, and the others return
    Given a spare Swarm with a witness on every node
    When two of its three managers are lost for good
    And the manager that is left forces a new cluster
    Then it leads within 60 seconds
    And the witness runs all its tasks again within 60 seconds
    When the lost managers return as they were
    Then for 30 seconds nobody else leads
    When they leave it and join again
    Then three managers form one Swarm again within 120 seconds
