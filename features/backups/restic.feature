@backups @data @restic
Feature: The same backups by restic
  The plan writes its jobs in shell. restic encrypts, keeps what is equal once, and no later copy can
  damage an earlier one. The report shows both side by side.

  Background:
    Given the plan's services are running
    And restic takes the backups every 20 seconds

  @normal
  Scenario: What restic keeps comes back
    Given the report compares this, "Backups on the backup host", as done by "restic"
    And these are backed up
      | source                                  | job           |
      | the database gibd of gibd-postgres      | restic-backup |
      | the keys of gibd-redis                  | restic-backup |
      | the volumes appwrite-data, traefik-acme | restic-backup |
    When something is written to each
    Then restic has a copy of each, begun after that, within 4 periods
    And restic reads every byte of its copies without a complaint
    And from restic's copies each restores on another node, with nothing lost or changed
    And the report notes how long runs of restic-backup take, and the room of restic's snapshots
