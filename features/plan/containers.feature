@plan
Feature: All containers of the plan run
  The plan: "All 70+ containers running across 4 servers". A task that Swarm calls Running may be on
  the wrong server, of the wrong image, or up between two crashes: each is looked for.

  @blocker
  Scenario: More than 70 containers, each in its place, none restarting
    Given every stack of the plan stands
    When the plan's containers are watched for 15 seconds
      | stack              | services                                                            | place                 |
      | edge               | edge                                                                | label production=true |
      | services           | ws-gateway, ws-company, ws-trades, ws-news, ws-discovery            | label production=true |
      | infrastructure     | keycloak, keycloak-postgres, oauth2-proxy                           | node gmktec           |
      | frontends          | gibd-quant-web, daily-deen-guide-frontend, ddg-bff                  | node gmktec           |
      | frontends          | wwwwizardsoftscom-web, pf-padmafoods-web                            | node gmktec           |
      | appwrite           | appwrite, appwrite-executor, appwrite-console, appwrite-realtime    | node gmktec           |
      | appwrite           | appwrite-worker-audits, appwrite-worker-builds                      | node gmktec           |
      | appwrite           | appwrite-worker-certificates, appwrite-worker-databases             | node gmktec           |
      | appwrite           | appwrite-worker-deletes, appwrite-worker-functions                  | node gmktec           |
      | appwrite           | appwrite-worker-mails, appwrite-worker-messaging                    | node gmktec           |
      | appwrite           | appwrite-worker-migrations, appwrite-worker-webhooks                | node gmktec           |
      | appwrite           | appwrite-worker-stats-resources, appwrite-worker-stats-usage        | node gmktec           |
      | appwrite           | appwrite-worker-stats-usage-dump, appwrite-task-maintenance         | node gmktec           |
      | appwrite           | appwrite-task-scheduler-executions, appwrite-task-scheduler-messages| node gmktec           |
      | appwrite           | appwrite-task-scheduler-functions, appwrite-task-stats-resources    | node gmktec           |
      | data               | gibd-postgres, postgres, gibd-redis                                 | node hppavilion       |
      | data               | gibd-postgres-replica, postgres-replica, redis-replica              | node wsasus           |
      | data               | pgbouncer                                                           | label production=true |
      | general-cache      | redis                                                               | node hppavilion       |
      | appwrite-storage   | appwrite-mariadb, appwrite-redis, appwrite-influxdb                 | node hppavilion       |
      | mailcow            | mailcow-nginx, mailcow-postfix, mailcow-dovecot, mailcow-rspamd     | node hppavilion       |
      | mailcow            | mailcow-clamd, mailcow-mysql, mailcow-redis, mailcow-sogo           | node hppavilion       |
      | mailcow            | mailcow-acme, mailcow-dockerapi, mailcow-memcached, mailcow-olefy   | node hppavilion       |
      | mailcow            | mailcow-netfilter, mailcow-ofelia, mailcow-php-fpm, mailcow-solr    | node hppavilion       |
      | mailcow            | mailcow-unbound, mailcow-watchdog                                   | node hppavilion       |
      | backups            | postgres-backup, postgres-general-backup, redis-backup              | node hppavilion       |
      | backups            | volume-backup, remote-backup                                        | node hppavilion       |
      | backup-coordinator | bacula-director                                                     | node wsasus           |
      | staging            | staging-traefik, staging-ws-gateway, staging-ws-company             | node hpr              |
      | staging            | staging-frontend, staging-appwrite                                  | node hpr              |
      | dev-databases      | dev-postgres, dev-redis, dev-mongo                                  | node hpr              |
    Then each of them runs and is healthy
    And at least 70 containers of the plan run
    And each runs in its place, and no other service of the plan's stacks runs
    And none of them was restarted, or has failed since it was deployed
    And every one that speaks a protocol answers as itself
