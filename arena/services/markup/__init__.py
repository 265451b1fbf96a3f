"""From what a model wrote to HTML that is safe to show. `arena.services.rendering` is the way in."""
