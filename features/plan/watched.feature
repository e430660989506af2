@monitoring @plan
Feature: Every service of the whole plan is watched
  As monitoring/scraped.feature, with all of the plan's 70 and more containers there. Staging and
  development are in networks that monitoring is not in, as they are kept apart from production; their
  containers are watched by each node's agent.

  @blocker
  Scenario: Every service of the whole plan is scraped, as itself
    Given the plan's services are running
    And every stack of the plan stands
    And the plan's monitoring runs, scraping every 2 s, with alerts after 2 s
    Then within 60 seconds every service that runs is scraped as itself, at most 4 intervals and 120 seconds ago, except
      | service                         |
      | netcheck_netcheck               |
      | backups_postgres-backup         |
      | backups_postgres-general-backup |
      | backups_redis-backup            |
      | backups_volume-backup           |
      | backups_remote-backup           |
      | staging_staging-traefik         |
      | staging_staging-ws-gateway      |
      | staging_staging-ws-company      |
      | staging_staging-frontend        |
      | staging_staging-appwrite        |
      | dev-databases_dev-postgres      |
      | dev-databases_dev-redis         |
      | dev-databases_dev-mongo         |
    And every target that is up speaks of its service
    And every container of every service is seen on its node
