"""What scores are worth: metrics of a group of images, by period and generator, over the windows."""
