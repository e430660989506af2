@security
Feature: What the network sees of the nodes
  The plan: "Encrypted network communication", "Validate network encryption" and "Configure firewall
  rules on all servers". Rules and options are not read: what they do is tried.

  Background:
    Given the plan's services are running

  @blocker @smoke
  Scenario: Overlay traffic is encrypted where it leaves a node
    That a network has the option `encrypted` proves nothing (CVE-2023-28841).

    Then traffic of these overlays between any two nodes is encrypted on the wire
      | network    |
      | backend    |
      | database   |
      | monitoring |
      | public     |

  @critical
  Scenario: Every node shows the outside its listed ports
    `80 of edge` is open where the edge publishes it: through the mesh on every node, else where it runs.

    Given every TCP port of every node is tried from outside of the Swarm
    Then these ports are open, and no other
      | node       | TCP            | UDP        |
      | gmktec     | 22, 80 of edge | 4789, 7946 |
      | hppavilion | 22, 80 of edge | 4789, 7946 |
      | wsasus     | 22, 80 of edge | 4789, 7946 |
      | hpr        | 22, 80 of edge | 4789, 7946 |

  @blocker @smoke
  Scenario: Nobody gives orders to an engine without being known to it
    Whoever may is root on its node. Asked from outside of the Swarm and, as a firewall that faces
    outward does not face them, from containers.

    Then no engine takes orders over TCP without a client's certificate

  @critical @smoke
  Scenario: An engine's socket is for root and its group
    Then no engine's socket is open to others than root and its group

  @critical @smoke
  Scenario: Swarm's ports are for its nodes only
    Then these ports admit every other node, and nobody from outside of the Swarm
      | port | protocol | of            |
      | 2377 | tcp      | every manager |
      | 7946 | tcp      | every node    |
      | 7946 | udp      | every node    |
      | 4789 | udp      | every node    |
