@security @chaos
Feature: Secrets can be changed while they are in use
  Swarm's secrets do not change: a service is given another one, by a rolling update. PostgreSQL knows
  one password a role, and changing it shuts out whoever has not been told, so two roles take turns.

  Background:
    Given the plan's services are running

  @critical
  Scenario: A new database password costs no request
    Given ws-company logs in at its database as a role of its own
    And clients are asking these routes, 20 times a second each, and wait 2 seconds for an answer
      | route              | key              | service    | version |
      | /api/company/items | upstream.service | ws-company |         |
    When ws-company is given the next role with a new password, and watched until 2 seconds after its end
    Then not one of the clients' requests failed
    And the update is completed within 60 seconds
    And within 10 seconds every task of ws-company has the new secret, and no session the former role
    And the former password, accepted until its role is retired, is refused within 5 seconds
    And the managers sent the new secret, and nothing of it in clear
