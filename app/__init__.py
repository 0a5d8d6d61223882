"""HTTP, SQL, cache, jobs and pages: composes the three libraries. Nothing imports app."""
