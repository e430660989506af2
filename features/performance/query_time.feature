@performance @quiet @postgresql
Feature: Database query time
  The plan: "Database Query Time: target < 15 ms". It names no percentile and no query: here it is
  95 % of the answers of every query on its own, asked by an application from inside the overlay
  (load/profiles/queries.yml), whether or not the one before has been answered.

  Background:
    Given the plan's services are running
    And gibd-postgres-replica is the replica of gibd-postgres

  @critical
  Scenario: Primary and replica answer an application in time
    When an application asks the queries of queries.yml 120 times a second for 30 seconds
    Then 95 % of the answers of every query come within 15 ms from the primary and the replica
    And no query fails

  @critical @load
  Scenario: They do so under the traffic of the services
    Given clients send the traffic of services at 20 requests a second
    When an application asks the queries of queries.yml 120 times a second for 30 seconds
    Then 95 % of the answers of every query come within 15 ms from the primary and the replica
    And no query fails
    And no request fails
