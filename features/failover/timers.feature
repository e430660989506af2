@failover @smoke
Feature: Swarm's own timers leave room for the failover that the plan promises
  A drill shows one failover; how long Swarm may take to notice is a matter of its timers. When the
  leader is lost, the others elect a new one after 10 to 20 s, and it then gives every node six
  heartbeats (each up to a tenth late) before it calls one down. Only then are tasks rescheduled,
  and they need time to start and to pass their health check.

  @critical
  Scenario: The worst case of noticing a lost leader leaves 15 of the 60 seconds
    Then a lost leader is noticed within 45 seconds at worst, by the dispatcher's heartbeat
