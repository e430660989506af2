@plan
Feature: The plan's memory adds up
  The plan gives each server a share of its memory for containers. What Swarm sets aside has to stay
  within it, what the limits allow has to fit the server, and what moves when a server is lost has to
  find room. A twin divides all by one factor; here it is multiplied again.

  @critical
  Scenario: Limits and reservations keep every server's budget, also with one server lost
    # The plan's "~10 GB" on wsasus are 7 GB of monitoring, 3 GB of replicas and 200 MB of Bacula.
    Given every stack of the plan stands
    And the plan's servers have this memory
      | server     | RAM GB | budget GB |
      | gmktec     | 28     | 15        |
      | hppavilion | 31     | 21        |
      | wsasus     | 11     | 10.2      |
      | hpr        | 5.7    | 5         |
    Then every service of the plan has a memory limit, and its containers have it too
    And what is reserved on each server stays within its budget
    And in the plan's places, what may move counted on gmktec, the limits fit each server's memory
    And with any one server lost these find room elsewhere
      | service      |
      | edge         |
      | ws-gateway   |
      | ws-company   |
      | ws-trades    |
      | ws-news      |
      | ws-discovery |
      | pgbouncer    |
    And what the containers really use is reported
