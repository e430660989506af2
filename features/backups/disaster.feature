@backups @data @chaos
Feature: The data node is lost with its disk
  The plan: "Backup Recovery Time < 1 hour". The database starts empty on another node and is restored
  from the backup host, with nothing of the lost node, nor of its replica: where that is left, it is
  promoted, which is quicker and loses less. What was written after the last remote copy is lost: at
  most a period of the database's schedule and one of the remote copy's, and what both take. In
  production that is two days.

  Background:
    Given the plan's services are running
    And the plan's backup jobs run every 10 seconds

  @blocker
  Scenario: The database is restored elsewhere from the backup host alone
    Given these are backed up
      | source                             | job             |
      | the database gibd of gibd-postgres | postgres-backup |
    And a client writes 4 rows a second there
    When something is written to each
    Then the backup host has a backup of each, begun after that, within 4 periods of its schedule
    When the data node is lost with its disk
    And the database is started empty on another node, without gibd-postgres-replica, and restored from the backup host
    Then ws-trades writes to it again within 3600 seconds of the loss
    And no more than the last 60 seconds of what was acknowledged is lost
