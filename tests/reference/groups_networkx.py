#!/usr/bin/env python3
"""Makes groups.inc for tests/unit/test_groups.c: Zachary's karate club, and its modularity by networkx."""
import networkx

graph = networkx.karate_club_graph()
networkx.set_edge_attributes(graph, 1, "weight")
clubs = [graph.nodes[i]["club"] != "Mr. Hi" for i in graph]
best = max((networkx.community.louvain_communities(graph, seed=s) for s in range(20)),
           key=lambda parts: networkx.community.modularity(graph, parts))
halves = [{i for i in graph if clubs[i] == half} for half in (False, True)]
print("/* Made by tests/reference/groups_networkx.py with networkx %s. */" % networkx.__version__)
edges = ["{%d, %d}" % edge for edge in graph.edges]
print("static const int karate[][2] = {\n    %s};" % ",\n    ".join(
    ", ".join(edges[i:i + 10]) for i in range(0, len(edges), 10)))
print("static const int64_t karate_club[34] = {%s};" % ", ".join(str(int(c)) for c in clubs))
print("static const double karate_club_modularity = %.9f, karate_louvain = %.9f;" % (
    networkx.community.modularity(graph, halves), networkx.community.modularity(graph, best)))
