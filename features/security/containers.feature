@security @smoke
Feature: Containers have the rights that they need
  Docker's default rights and a user other than root, unless the list says otherwise: who has the
  Docker socket, a capability more or a folder of the host can be root on its node.

  Background:
    Given the plan's services are running

  @critical
  Scenario: No container can do more than the list says
    Then no container has more rights than these
      | service                 | right                            |
      | postgres-backup         | root                             |
      | postgres-backup         | mount /mnt/data/backups/postgres |
      | postgres-general-backup | root                             |
      | postgres-general-backup | mount /mnt/data/backups/postgres |
      | redis-backup            | root                             |
      | redis-backup            | mount /mnt/data/backups/redis    |
      | volume-backup           | root                             |
      | volume-backup           | mount /mnt/data/backups/volumes  |
      | remote-backup           | root                             |
      | remote-backup           | mount /mnt/data/backups          |
      | restic-backup           | root                             |
