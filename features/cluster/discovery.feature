@cluster @smoke
Feature: Service discovery
  The plan: "Verify service discovery" (week 1, day 5-7).

  @blocker
  Scenario: Every service resolves and answers from containers on every node
    Given the plan's services are running
    Then from every node these services resolve to their running tasks and answer within 60 seconds
      | service               |
      | edge                  |
      | ws-gateway            |
      | ws-company            |
      | ws-trades             |
      | ws-news               |
      | ws-discovery          |
      | gibd-postgres         |
      | gibd-postgres-replica |
      | postgres              |
      | postgres-replica      |
      | pgbouncer             |
      | gibd-redis            |
      | redis-replica         |
      | canary                |
