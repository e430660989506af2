@mirror
Feature: Changes reach the mirror
  The plan: "GitLab automatically pushes to GitHub on every commit". What is deleted at GitLab goes from
  GitHub only if the default branch holds its commit: other work is kept there (Gitaly's rule).

  Background:
    Given the plan's services are running
    And GitLab has 102 projects, all mirrored to GitHub, with a delay of 2 seconds

  @blocker
  Scenario: What is pushed to GitLab is on GitHub within the hour
    Then each of these, pushed to GitLab, is on GitHub within 12 delays
      | change                                  |
      | a new branch with a commit              |
      | a tag with a message                    |
      | a forced push that rewrites the branch  |
      | another branch of what is merged already |
      | the deletion of that branch             |

  Scenario: A mirror that fails is seen, and it alone
    When GitHub refuses what is pushed to one project's mirror
    Then GitLab says within 12 delays that this mirror fails, and why
    And of all projects this one alone is named

  @blocker
  Scenario: Projects come back from GitHub alone
    Then 3 projects, cloned from GitHub alone, pass git fsck and have GitLab's history
