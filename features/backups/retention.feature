@backups @data
Feature: Backups are kept as long as promised, and no longer
  The plan: 7 days, 4 weeks and 6 months of the databases, 30 days of the volumes; Redis, of which the
  plan says nothing, as the volumes. Judged by the dates in the names, today's among them. Up to two
  more of each are no fault: the plan's image prunes by age and so keeps 8 daily, 5 weekly and 7
  monthly copies.

  Background:
    Given the plan's services are running
    And the plan's backup jobs run every 10 seconds

  @critical
  Scenario: What is there keeps the rule
    Given these are backed up
      | source                             | job             |
      | the database gibd of gibd-postgres | postgres-backup |
    When something is written to each
    Then the data node has a backup of each, begun after that, within 2 periods of its schedule
    And the copies of gibd are kept for 7 days, 4 weeks and 6 months

  @critical
  Scenario: 200 days of the jobs' own pruning
    Then over 200 days postgres-backup keeps 7 days, 4 weeks and 6 months
    And over 200 days with 1 backups every 7 days volume-backup keeps 30 days
    And over 200 days with 4 backups every 1 days redis-backup keeps 30 days
