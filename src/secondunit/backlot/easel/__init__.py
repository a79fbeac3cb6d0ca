"""The storyboard artist's easel: reads a prompt, draws it, and moves a lens over the drawing."""
