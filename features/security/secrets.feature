@security @smoke
Feature: Secrets stay secret
  The plan: "Migrate environment variables to Docker secrets" and "Secrets encrypted at rest and in
  transit". The values are read from the containers that have them, and looked for everywhere else, as
  they are and encoded, in what could be copied, printed or shown. No value is ever printed.

  Background:
    Given the plan's services are running
    And the values of all secrets in use are known, postgres_password, replication_password and redis_password among them

  @blocker
  Scenario: A secret is a file in memory
    Then every task's secrets are read-only files in memory below /run/secrets

  @blocker
  Scenario: A secret is nowhere but in /run/secrets
    Then no secret is in any of these places
      | place                                      |
      | the environment of processes               |
      | command lines                              |
      | the settings of containers                 |
      | the settings, labels and history of images |
      | services, configs, networks and all labels |
      | the logs of containers                     |
      | the logs of the node                       |
      | what containers wrote outside of volumes   |
      | small files in volumes                     |
      | reports and ledgers of the harness         |

  @critical
  Scenario: What managers keep on their disks is encrypted
    The key lies beside the data unless autolock is on; what that means is in the report.

    Then no manager's Raft store has a secret in clear, or lends its key to others than root
    And the report says whether the managers lock that key away
