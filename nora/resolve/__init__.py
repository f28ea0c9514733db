"""Who is asked for a name: decided once, here, from rows and configuration, before any connection.

    found = await services.resolver.find_hosted(repository, look)
    if found is None:
        found = await services.resolver.first(await services.resolver.resolve(repository, name), ask)

A name has one source: a hosted repository, or one upstream with its mirrors. `look` finds something in one
hosted repository, `ask` at one upstream; neither knows of the others. What is where:

    sources       the upstreams of the proxies, and what the configuration says of their names
    candidates    what a decision is: the sources to ask for a name, in order
    resolution    which of them may be asked for a name (candidates), in which order
    walk          asking them: found, absent, failed
    claims        who may make a name ours
    ownership     whose a name is, told to administrators and changed by them
    blocking      administrators say what is neither served, fetched nor pushed
    purging       administrators remove what is cached
    listing       the names of all packages of a repository
    patterns      what `proxy.reserved` and `proxy.extend` say about names
"""

from nora.resolve.candidates import Ask, Candidate, Look, Resolution
from nora.resolve.claims import Claims
from nora.resolve.resolution import Resolver
from nora.resolve.sources import Source, Sources

__all__ = ["Ask", "Candidate", "Claims", "Look", "Resolution", "Resolver", "Source", "Sources"]
