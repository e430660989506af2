@monitoring
Feature: Every service is watched
  The plan: "Monitoring all services (Prometheus/Grafana)". Prometheus saying that all its targets are up
  says nothing of a service that it was never told of, so what runs is asked of the Swarm. A service with
  metrics of its own is scraped; databases are asked by their exporters, anything else by the blackbox
  exporter. On a twin all times are shorter than the plan's, so that nobody waits for minutes.

  Background:
    Given the plan's services are running
    And the plan's monitoring runs, scraping every 2 s, with alerts after 2 s

  @blocker
  Scenario: Every service is scraped, as itself
    # 120 s: Prometheus looks back 5 minutes, and one lost scrape must not leave a gap.
    # netcheck is the harness's own and listens nowhere; jobs that end report by themselves.
    Then within 20 seconds every service that runs is scraped as itself, at most 4 intervals and 120 seconds ago, except
      | service                         |
      | netcheck_netcheck               |
      | backups_postgres-backup         |
      | backups_postgres-general-backup |
      | backups_redis-backup            |
      | backups_volume-backup           |
      | backups_remote-backup           |
    And every target that is up speaks of its service
    And every container of every service is seen on its node

  Scenario: The dashboards show data
    Given the mirror and every backup job have just reported their success
    Then every query of every dashboard returns data
