@cluster @smoke
Feature: Clients reach the plan's services through the edge

  @blocker
  Scenario: The right service answers each route
    Given the plan's services are running
    When clients ask these routes 2 times a second for 10 seconds
      | route          | key              | service      |
      | /              | service          | ws-gateway   |
      | /api/company   | upstream.service | ws-company   |
      | /api/trades    | upstream.service | ws-trades    |
      | /api/news      | upstream.service | ws-news      |
      | /api/discovery | upstream.service | ws-discovery |
      | /canary        | service          | canary       |
    Then every answer is right
