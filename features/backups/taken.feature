@backups @data
Feature: Backups are taken
  The plan: "Automated backups (daily DB, hourly Redis, weekly volumes)". A twin's jobs run by the same
  scheduler with a shorter period, so time is counted in periods of the schedule: one to wait for the
  next run, the rest for the run itself, which is short against a day. The harness starts no backup.

  Background:
    Given the plan's services are running
    And the plan's backup jobs run every 10 seconds

  @blocker
  Scenario: Backups are taken on time, whole and of the present
    Given these are backed up
      | source                                  | job             |
      | the database gibd of gibd-postgres      | postgres-backup |
      | the keys of gibd-redis                  | redis-backup    |
      | the volumes appwrite-data, traefik-acme | volume-backup   |
    When something is written to each
    Then the data node has a backup of each, begun after that, within 2 periods of its schedule
    And on the data node each is whole and holds what was written
    And the newest of each on the data node is at most 2 periods old

  @blocker
  Scenario: No database is forgotten
    Then within 4 periods of postgres-backup every database of gibd-postgres and postgres has a backup no older than 3 periods
