"""The concepts: events < accounts < catalogue < entitlements < delivery (imports go down)."""
