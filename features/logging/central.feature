@logging @monitoring
Feature: Logs are found centrally
  The plan: "Setup Loki/Promtail for log aggregation" (week 5-6), "Centralized logging (Loki)". It names no
  time. Each line is unique, written into a container's own output on its node, and looked for in Loki
  by its node's label.

  Background:
    Given the plan's services are running
    And the logs of every node are collected

  @blocker
  Scenario: A line that any container writes
    When every container writes a line to each of its outputs
    Then every line is found centrally within 10 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing
    And Loki's labels name every node and every service that wrote

  Scenario: Long lines and lines of many alphabets arrive whole
    The engine writes a line in pieces of 16 KiB. A character across their border is damaged by it, so
    that long lines here have characters of 1, 2 and 4 bytes only.

    When a container on every node writes these lines
      | bytes  | characters      |
      | 16383  | abc             |
      | 16384  | abc             |
      | 16385  | abc             |
      | 100000 | 0123456789"\\   |
      | 40000  | äöüжλ           |
      | 40000  | 😀              |
      | 4000   | aé漢字😀 العربية |
    Then every line is found centrally within 10 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing

  @critical
  Scenario: The last lines of a container that is killed
    When a container on every node writes 100 lines and is killed at once
    Then every line is found centrally within 10 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing

  @critical
  Scenario: The last lines of a service that is removed
    When a service writes 100 lines on every node and is removed at once
    Then every line is found centrally within 10 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing

  Scenario: Lines over log files that are rotated meanwhile
    When a container on every node writes 400 lines over log files of 50k, 3 kept
    Then every line is found centrally within 10 seconds, once, under its own service, node, container and stream, stamped within 1 second of its writing
