"""Perception in plain torch: a small runner for converted networks, face detection, face-mesh landmarks."""
