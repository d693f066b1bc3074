#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the bridge before or after each of its calls that change the disk or speak
with the network while an alert climbs its escalation: after a new start every step has
been taken, once.

usage: escalation.py BRIDGE FAULTS [POINTS]

POINTS (18) are spread evenly over the calls that a run has.
"""
import concurrent.futures
import sys

import bridge

PROGRAM, LIBRARY = sys.argv[1:3]
POINTS = int(sys.argv[3]) if sys.argv[3:] else 18
WORKERS = 6  # they wait most of the time

CONFIG = """
route:
  receiver: first
  escalation:
    - {after: 1s, receiver: second}
    - {after: 1s, receiver: third}
receivers:
  - name: first
    pagerduty_configs: [{routing_key: k1, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}]
  - name: second
    pagerduty_configs: [{routing_key: k2, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}]
  - name: third
    slack_configs: [{api_url: 'http://127.0.0.1:%(port)d/hook'}]
"""
BODY = bridge.webhook([bridge.alert(1), bridge.alert(2)])
# A page for each alert in PagerDuty, one message for both in Slack.
WANTED = {"first": 2, "second": 2, "third": 1}


def told(deliveries):
    """How many pages each receiver has had."""
    count = {}
    for delivery in deliveries:
        if delivery["state"] == "done":
            count[delivery["receiver"]] = count.get(delivery["receiver"], 0) + 1
    return count


def climb(one):
    """Until the last step was taken, or the bridge has died."""
    def is_over():
        if one.process.poll() is not None:
            return True
        deliveries = one.deliveries()
        return deliveries is not None and told(deliveries).get("third")

    bridge.wait_for("the last step", is_over, 60, 0.05)


def run(kill_at, after):
    """(reached, calls) of one point."""
    far = bridge.Far()
    one = bridge.Bridge(PROGRAM, CONFIG % {"port": far.port}, LIBRARY, "clew-climb-")
    try:
        one.faults.set(kill_at, after)
        accepted = False
        if one.start():
            try:
                accepted = one.post(BODY) == 200
            except OSError:
                pass
            climb(one)
        reached = one.process.poll() is not None
        calls = one.faults.calls()
        one.stop(bridge.signal.SIGKILL)
        assert one.start(faulty=False), one.text("out")
        if not accepted:
            assert one.post(BODY) == 200
        climb(one)
        one.settle()
        pages = [d for d in one.deliveries() if d["action"] == "trigger"]
        count = {name: sum(d["receiver"] == name for d in pages) for name in WANTED}
        assert count == WANTED, "pages: %s" % count
        assert told(pages) == WANTED, "delivered: %s" % told(pages)
        assert max(far.opened.values()) == 1 and len(far.opened) == 2, far.opened
        assert one.stop() == 0
        return reached, calls
    except AssertionError as e:
        raise AssertionError("%s call %d: %s\n%s" % ("after" if after else "before", kill_at, e,
                                                     one.text()[-3000:])) from None
    finally:
        one.remove()
        far.stop()


def main():
    _, calls = run(0, False)
    every = [(n, after) for n in range(1, calls + 1) for after in (False, True)]
    points = [every[i * len(every) // POINTS] for i in range(min(POINTS, len(every)))]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        reached = sum(r for r, _ in workers.map(lambda point: run(*point), points))
    print("%d calls; killed at %d points, every step was taken once" % (calls, reached))
    assert reached >= len(points) * 2 // 3, "too few points"


if __name__ == "__main__":
    main()
