@cluster @smoke
Feature: Clients reach the plan's services through the edge

  @blocker
  Scenario: The right service answers each route
    Given the plan's services are running
    When clients ask these routes 10 times a second for 5 seconds
      | route          | service      |
      | /              | ws-gateway   |
      | /api/company   | ws-company   |
      | /api/trades    | ws-trades    |
      | /api/news      | ws-news      |
      | /api/discovery | ws-discovery |
      | /canary        | canary       |
    Then every answer is right
