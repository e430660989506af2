@performance @quiet
Feature: Server 84 keeps its budget
  The production core has room for what moves to it: under ordinary traffic its CPU, its memory and
  its swap stay within the plan's targets.

  @critical
  Scenario: The production core under ordinary traffic
    Given the plan's services are running
    And gmktec runs a task of each of these services
      | service      |
      | edge         |
      | ws-gateway   |
      | ws-company   |
      | ws-trades    |
      | ws-news      |
      | ws-discovery |
    And clients send the traffic of services at 20 requests a second
    When gmktec is watched for 20 seconds
    Then its average CPU load is below 0.30 per core
    And it uses less than 20 GB of memory
    And no request fails
    And it does not swap
