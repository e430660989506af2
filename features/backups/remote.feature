@backups @data
Feature: The remote copies are enough, and outlive the local ones
  The plan: "Remote sync to Hetzner (daily)". Each step restores from the backup host alone, on a node
  that keeps no copy.

  Background:
    Given the plan's services are running
    And the plan's backup jobs run every 10 seconds

  @blocker
  Scenario: A restore needs the backup host only
    Given the report compares this, "Backups on the backup host", as done by "the plan's jobs, mended"
    And these are backed up
      | source                                  | job             |
      | the database gibd of gibd-postgres      | postgres-backup |
      | the keys of gibd-redis                  | redis-backup    |
      | the volumes appwrite-data, traefik-acme | volume-backup   |
    When something is written to each
    Then the backup host has a backup of each, begun after that, within 4 periods of its schedule
    And no link on the backup host leads nowhere
    And on the backup host each is whole and holds what was written
    And from the backup host each restores on another node, with nothing lost or changed
    And the report notes how long runs of postgres-backup, redis-backup, volume-backup, remote-backup take, and the room of the copies

  @critical
  Scenario: Lost local copies do not take the remote ones along
    Given these are backed up
      | source                                  | job             |
      | the database gibd of gibd-postgres      | postgres-backup |
      | the keys of gibd-redis                  | redis-backup    |
      | the volumes appwrite-data, traefik-acme | volume-backup   |
    When something is written to each
    Then the backup host has a backup of each, begun after that, within 4 periods of its schedule
    When the data node's copies are overwritten with noise
    Then the remote copy runs again within 2 periods of its schedule
    When the data node's copies are emptied
    Then the remote copy runs again within 2 periods of its schedule
    And the backup host's copy of each of before the damage restores, with nothing lost or changed
