@monitoring
Feature: Alerts are raised, delivered and taken back
  The plan: "Configure AlertManager", and the alert GitLabMirrorFailed. A rule that is loaded has told
  nobody anything yet: each condition is made true, all at once, and the receiver is asked. `expected_*`
  in the rules is what should be there, as a comparison with a metric that is absent never fires.

  Background:
    Given the plan's services are running
    And a twin's own backup jobs do not run
    And the plan's monitoring runs, scraping every 2 s, with alerts after 2 s
    And the mirror and every backup job have just reported their success

  Scenario: Every rule can do its work
    Then these alerts and no others are loaded, evaluated, and read metrics that exist
      | alert              |
      | Watchdog           |
      | NodeDown           |
      | ServiceDown        |
      | ReplicationBroken  |
      | DiskFull           |
      | MemoryHigh         |
      | BackupTooOld       |
      | GitLabMirrorFailed |
    And by the plan's own times GitLabMirrorFailed fires as follows, in a test of its rule
      | series                            | values           | silent at minute | fires at minute |
      | gitlab_mirror_last_sync_timestamp | 0x200            | 129              | 132             |
      | gitlab_mirror_last_sync_timestamp | 0+60x60 3600x200 | 189              | 192             |
      | -                                 | -                | 9                | 11              |
    And by the plan's own times BackupTooOld fires as follows, in a test of its rule
      | series                                                                          | values           | silent at minute | fires at minute |
      | expected_backup{backup="x"}                                                     | 7200x200         | 0                | 2               |
      | expected_backup{backup="x"} & backup_last_success_timestamp_seconds{backup="x"} | 7200x200 & 0x200 | 119              | 123             |
    And by the plan's own times ServiceDown fires as follows, in a test of its rule
      | series                                                        | values      | silent at minute | fires at minute |
      | expected_service{service="x"} & up{service="y",how="metrics"} | 1x20 & 1x20 | 0                | 2               |
      | expected_container{service="x"}                               | 1x20        | 0                | 2               |
    And by the plan's own times MemoryHigh fires as follows, in a test of its rule
      | series                                                                                      | values               | silent at minute | fires at minute |
      | node_memory_MemAvailable_bytes & node_memory_MemTotal_bytes & node_uname_info{nodename="n"} | 4x20 & 100x20 & 1x20 | 4                | 6               |

  @blocker @destructive
  Scenario: Each alert reaches the receiver, and is taken back
    Given within 60 seconds nothing but the watchdog's alert is there
    When these faults are in force at once
      | fault                                                   |
      | data.wal-receiver-stopped service=gibd-postgres-replica |
      | task.pause service=redis-replica                        |
      | node.power-off node=hpr                                 |
      | resource.disk-full node=hppavilion path=/srv/scratch    |
      | task.memory service=autoscaler                          |
    And redis-backup's last success is 3 hours old
    And nothing is known of postgres-backup
    And nothing is known of gitlab-mirror
    Then within 60 seconds the receiver is told of each of these
      | alert              | about                  |
      | NodeDown           | hpr                    |
      | ServiceDown        | data_redis-replica     |
      | ReplicationBroken  | data_gibd-redis        |
      | ReplicationBroken  | data_gibd-postgres     |
      | DiskFull           | hppavilion             |
      | MemoryHigh         | node-agents_autoscaler |
      | BackupTooOld       | redis-backup           |
      | BackupTooOld       | postgres-backup        |
      | GitLabMirrorFailed |                        |
    And NodeDown about hpr still fires 6 s after the Swarm gave it up
    When everything is put right
    Then within 90 seconds the receiver is told that each is over
