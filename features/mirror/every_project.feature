@mirror
Feature: Every project is mirrored
  The plan: "GitLab repos mirrored to GitHub (hourly)". GitLab updates a mirror after a push and at no
  other time, and holds the next update back for 5 minutes after the last began. So time is counted in
  these delays, and the plan's hour is 12 of them; a twin's GitLab holds back for 2 seconds. A project to
  which nobody pushed for a month is not late.

  Background:
    Given the plan's services are running
    And GitLab has 102 projects, all mirrored to GitHub, with a delay of 2 seconds

  @blocker
  Scenario: Every project has a mirror of its own, in time
    When GitLab is asked for all its projects
    Then the list is whole, whatever its pages say
    And each has an enabled mirror of its own, and no push to any waits for longer than 12 delays

  @blocker
  Scenario: GitHub has every branch and tag that GitLab has
    When GitLab is asked for all its projects
    Then the branches and tags of each are on GitHub, but for pushes of the last 12 delays
