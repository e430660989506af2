@deployment @chaos
Feature: Zero downtime deployments
  The plan: "Zero downtime deployments (rolling updates)". Swarm says that an update is completed when
  its tasks run; whether clients lost requests meanwhile, and which version they were answered by, only
  clients can tell. They ask open loop, each time on a new connection, and never repeat a request.

  Background:
    Given the plan's services are running

  @blocker
  Scenario Outline: A new version of the gateway, <order>
    With stop-first one of the two tasks has to serve alone while the other one is replaced.

    Given ws-gateway shows clients its version
    And clients are asking these routes, 20 times a second each, and wait 2 seconds for an answer
      | route        | key              | service    | version |
      | /            | service          | ws-gateway | version |
      | /api/company | upstream.service | ws-company | version |
    When ws-gateway is updated to a new version, <order>, 1 task at a time, and watched until 4 seconds after its end
    Then not one of the clients' requests failed
    And clients see the version change over exactly once, and nothing of the old one later than 1 s after the update's end
    And the update is completed within 60 seconds

    Examples:
      | order       |
      | start-first |
      | stop-first  |

  @blocker
  Scenario: A new version of the edge, start-first
    The new edge stands beside the old one before that stops. Without the mesh it stands on another
    node, so that clients have to know every entry.

    Given edge shows clients its version
    And clients are asking these routes, 20 times a second each, and wait 2 seconds for an answer
      | route         | key              | service    | version |
      | /edge-version | service          | edge       | version |
      | /api/company  | upstream.service | ws-company |         |
    When edge is updated to a new version, start-first, 1 task at a time, and watched until 4 seconds after its end
    Then not one of the clients' requests failed
    And clients see the version change over exactly once, and nothing of the old one later than 1 s after the update's end
    And the update is completed within 45 seconds

  @normal
  Scenario: A new version of the edge, stop-first
    There is one edge, as in the plan: between the old one's stop and the new one's start nobody
    answers. That gap cannot be avoided in this order, only measured and limited: the old one may
    finish its requests for 5 seconds, and the new one has to start and to find its services.

    Given edge shows clients its version
    And clients are asking these routes, 20 times a second each, and wait 2 seconds for an answer
      | route         | key              | service    | version |
      | /edge-version | service          | edge       | version |
      | /api/company  | upstream.service | ws-company |         |
    When edge is updated to a new version, stop-first, 1 task at a time, and watched until 4 seconds after its end
    Then clients are without good answers for at most 10 seconds
    And clients see the version change over exactly once, and nothing of the old one later than 1 s after the update's end
    And the update is completed within 45 seconds

  @blocker
  Scenario Outline: The gateway's update to <what> is taken back
    Given ws-gateway shows clients its version
    And clients are asking these routes, 20 times a second each, and wait 2 seconds for an answer
      | route        | key              | service    | version |
      | /            | service          | ws-gateway | version |
      | /api/company | upstream.service | ws-company | version |
    When ws-gateway is updated to <what>, <order>, 1 task at a time, and watched until 4 seconds after its end
    Then not one of the clients' requests failed
    And clients see nothing but the old version
    And the update is rolled back by itself within 60 seconds

    Examples:
      | what                                           | order       |
      | an image that does not exist                   | start-first |
      | a version that is not healthy within 3 seconds | start-first |
