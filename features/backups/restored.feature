@backups @data
Feature: Backups restore
  A backup is a backup when it was restored. Each goes into a fresh instance of the source's own image
  that no network reaches, on another node. What did not change in the source while it was backed up
  must be equal there: rows, a checksum of every table, sequences, roles with their passwords,
  extensions, owners and privileges, constraints and indexes; keys, types, expiry and values; files by
  content, owner, mode, time and link. A count that changed must lie between.

  Background:
    Given the plan's services are running
    And the plan's backup jobs run every 20 seconds

  @blocker
  Scenario Outline: What was backed up comes back
    Given <source>, backed up by <job>
    When something is written there
    Then the data node has a backup that began after that within 2 periods of its schedule
    And from the data node it restores on another node, with nothing lost or changed

    Examples:
      | source                                  | job             |
      | the database gibd of gibd-postgres      | postgres-backup |
      | the keys of gibd-redis                  | redis-backup    |
      | the volumes appwrite-data, traefik-acme | volume-backup   |
