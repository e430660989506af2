@performance @quiet @load
Feature: Service response time
  The plan: "Service Response Time < 100 ms". It names no percentile: 95 of 100 requests are held
  against it, and the 99th is reported. Requests arrive as those of many independent clients do,
  whatever became of the ones before (an open loop), and their time counts from when they were due.

  Background:
    Given the plan's services are running

  @blocker @smoke
  Scenario: Every public service answers in time at its everyday rate
    When clients send the traffic of services at 40 requests a second for 40 seconds
    Then no request fails
    And 95 % of the answers on each route come within 100 ms

  @normal
  Scenario: How much more they can take
    When the traffic of services rises from 40 to 640 requests a second, by 50 % every 5 seconds, until 95 % no longer come within 100 ms
    Then the highest rate that keeps the limit is at least 40 requests a second
