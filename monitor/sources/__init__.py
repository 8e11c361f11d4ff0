"""Where frames come from: cameras, video files, folders of images, the synthetic scene."""
