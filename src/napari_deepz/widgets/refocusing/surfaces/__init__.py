"""Setting a surface: forms, anchors, and the mesh that shows it."""
