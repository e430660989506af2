@monitoring
Feature: Jobs that end tell of their success
  BackupTooOld is an alert about a metric that only the jobs themselves can give: they are asked, with
  nobody who reports in their place. On a twin they run every 10 seconds.

  Scenario: Every backup job reports what it did
    Given the plan's services are running
    And the plan's monitoring runs, scraping every 2 s, with alerts after 2 s
    And nothing is known of any job
    And the plan's backup jobs run every 10 seconds
    Then within 90 seconds these jobs themselves report their success
      | job                     |
      | postgres-backup         |
      | postgres-general-backup |
      | redis-backup            |
      | volume-backup           |
      | remote-backup           |
